"""A minimal reader of HTML: elements with their attributes and texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parts: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text in it, with white space collapsed."""
        return " ".join(self._raw().split())

    @property
    def classes(self) -> set[str]:
        return set(self.attributes.get("class", "").split())

    def all(self, tag: str | None = None, where: Callable[[Element], bool] = lambda _: True) -> list[Element]:
        """Return the elements in it of a kind."""
        return [one for one in self._walk() if (tag is None or one.tag == tag) and where(one)]

    def one(self, tag: str, where: Callable[[Element], bool] = lambda _: True) -> Element:
        (found,) = self.all(tag, where)
        return found

    def of_class(self, name: str) -> list[Element]:
        return self.all(where=lambda element: name in element.classes)

    def with_id(self, name: str) -> Element:
        (found,) = self.all(where=lambda element: element.attributes.get("id") == name)
        return found

    def _walk(self) -> Iterator[Element]:
        for part in self.parts:
            if isinstance(part, Element):
                yield part
                yield from part._walk()

    def _raw(self) -> str:
        return "".join(part if isinstance(part, str) else f" {part._raw()} " for part in self.parts)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.stack = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.stack[-1].parts.append(element)
        self.stack.append(element)
        if tag in {"input", "link", "meta", "br"}:
            self.stack.pop()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.stack[-1].parts.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in {"input", "link", "meta", "br"}:
            return
        assert self.stack[-1].tag == tag, f"</{tag}> closes <{self.stack[-1].tag}>"
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        self.stack[-1].parts.append(data)


def read_html(text: str) -> Element:
    """Parse a page, in which every element must be closed."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert len(reader.stack) == 1, f"<{reader.stack[-1].tag}> is not closed"
    return reader.stack[0]

"""The types of the answers, of which the OpenAPI document is made."""

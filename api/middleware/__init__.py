"""What applies to every request: access, content negotiation, ETags, CORS and compression."""

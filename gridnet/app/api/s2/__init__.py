"""S2 (EN 50491-12-2) over WebSocket: this service is the customer energy manager of devices that fill and empty a storage."""

"""Programs and data to start from; `inferd demo` uses the digits."""

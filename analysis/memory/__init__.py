"""Which bytes are at this address: dump files, their segments, mapped files, and a reader over them."""

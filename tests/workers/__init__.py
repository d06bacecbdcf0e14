"""Worker processes, reload, and what people are told of them."""

"""What ``mutate.py`` is made of: samples of every format, mutations of their bytes, processes that try them."""

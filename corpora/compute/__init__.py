"""What kernels are made of: the decorators, vector intrinsics and their plain twins, the cache of compiled code."""

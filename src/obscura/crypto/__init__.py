"""Faces of the cryptographic libraries, and Noise's state machines over them. No primitive is written here.

What Python cannot do is said once, here: a key is an immutable string or lives inside a library's object; it is dropped
as soon as it is not needed, but nothing promises when the interpreter lets the memory go or that no copy was made.
"""

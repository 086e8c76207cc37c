"""The real chain: Bitcoin Core's consensus engine (libbitcoinkernel) behind a block store of our own.

``ledger`` joins the parts; ``binding`` alone touches the foreign library, and needs the extra ``obscura[kernel]``.
``networks``, ``header`` and ``build`` are pure and import without it.
"""

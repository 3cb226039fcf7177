"""A stream of impressions: numbered parquet files in a folder, as docs/stream.md has them; written and read here.

streams/shop/
    000000000001.parquet   rows in the schema's columns, and what they are in the footer (``StreamMark``)
    000000000002.parquet   its number is its place in the order; a gap is waited for
    end.json               once there is a last file, its number
"""

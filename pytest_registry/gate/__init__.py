"""What stands before a registry: faults, throttling, the log of requests, and the gateway.

`fault` and `throttle` say what a test wants, as plain data; `remote` asks for it over HTTP. In the
process that serves the registry `gate` decides for each request, `effects` and `buckets` carry it
out, `log` writes down what came. `forward` puts all that in front of a registry that is not ours.
"""

"""The body that Kratos' template makes of a message: kratos.py TEMPLATE CTX_JSON."""

import sys

import _jsonnet

template, ctx = sys.argv[1:]
print(_jsonnet.evaluate_file(template, tla_codes={"ctx": ctx}), end="")

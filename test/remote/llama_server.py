"""Serve a GGUF file with llama.cpp's own HTTP server, on a free port of this machine, until its input ends.

    python llama_server.py MODEL.gguf API_KEY      # prints the address
"""

import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.api_keys = [sys.argv[2]]
params.port = 0
params.n_ctx = 512
params.n_parallel = 1
params.warmup = False
params.cpuparams.n_threads = 1  # its threads spin: more would wait for each other on a busy machine
params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()

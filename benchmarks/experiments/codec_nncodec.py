"""Run by the Python of another environment: whole numbers through NNCodec and back; prints the bytes that they take as JSON.

python codec_nncodec.py NUMBERS.npz FOLDER
"""

from __future__ import annotations

import contextlib
import io
import json
import sys

import numpy as np
from nncodec.tensor import decode, encode


def main() -> None:
    size = 0
    with np.load(sys.argv[1]) as numbers:
        for name, value in numbers.items():
            best = None
            for dependent in (False, True):
                with contextlib.redirect_stdout(io.StringIO()):
                    stream = encode(value.astype(np.int32), {"results": sys.argv[2], "use_dq": dependent, "tensor_id": "0"})
                    back = np.asarray(decode(stream, "0"))
                if np.array_equal(back.reshape(value.shape), value):
                    best = min(best or len(stream), len(stream))
            if best is None:
                raise SystemExit(f"{name} did not come back")
            size += best
    print(json.dumps({"bytes": size}))


if __name__ == "__main__":
    main()

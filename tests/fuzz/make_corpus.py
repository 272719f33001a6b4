"""Writes the corpus of the fuzz targets: small good inputs, and one or two broken in the usual ways.

Usage: tests/fuzz/make_corpus.py  (needs protoc for the messages; torch for pth, which is left as it is without)
"""

import collections
import gzip
import io
import json
import pathlib
import struct
import subprocess
import zipfile

try:
    import torch
except ImportError:
    torch = None

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def put(target, name, content):
    path = HERE / "corpus" / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def safetensors(header, data=b""):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


put("safetensors", "empty", safetensors({}))
put("safetensors", "two", safetensors({"__metadata__": {"format": "pt"}, "a": entry("F32", [2, 3], 0, 24),
                                       "b": entry("I64", [], 24, 32)}, bytes(range(32))))
put("safetensors", "small_types", safetensors({"h": entry("BF16", [3], 0, 6), "f": entry("F8_E4M3", [2], 6, 8), "n": entry("F4", [4], 8, 10),
                                               "e": entry("U8", [0, 7], 10, 10)}, bytes(10)))
put("safetensors", "hole", safetensors({"a": entry("F32", [1], 4, 8)}, bytes(8)))
put("safetensors", "overflow", safetensors({"a": entry("F64", [2**62, 2**62], 0, 8)}, bytes(8)))
put("safetensors", "long_header", struct.pack("<Q", 2**63) + b"{}")


def idx(magic, sizes, data):
    return struct.pack(">I", magic) + b"".join(struct.pack(">I", size) for size in sizes) + data


IMAGES, LABELS = idx(0x803, [2, 2, 3], bytes(range(12))), idx(0x801, [2], bytes([4, 9]))
for which, content in enumerate([IMAGES, LABELS, IMAGES, LABELS]):
    put("idx", f"plain_{which}", bytes([which]) + content)
    put("idx", f"gzip_{which}", bytes([4 + which]) + gzip.compress(content, mtime=0))
put("idx", "too_many", b"\0" + idx(0x803, [2**32 - 1, 2**32 - 1, 2**32 - 1], b"\0"))
put("idx", "label_10", b"\1" + idx(0x801, [2], bytes([4, 10])))

put("cifar", "ten", b"\0" + bytes([3]) + bytes(3072))
put("cifar", "ten_test", b"\2" + bytes([9]) + bytes(3072))
put("cifar", "hundred", b"\1" + bytes([3, 99]) + bytes(3072))
put("cifar", "remainder", b"\0" + bytes(3000))

for config in sorted((ROOT / "configs").glob("*.yaml")):
    put("config", config.stem, config.read_bytes())
put("config", "unknown_key", "data: {name: shapes}\ntrain: {stepz: 3}\n")
put("config", "anchor", "data: &d {name: shapes}\nmodel: *d\n")
put("config", "deep", "[" * 200)
put("config", "stray_comma", ",a")

DIGEST = {"bytes": 12, "xxh64": "0123456789abcdef"}
MANIFEST = {
    "format": 1, "step": 40, "members": 2, "config_hash": "00000000000000aa", "layout_hash": "00000000000000bb", "device": "cpu",
    "backend": "mpi", "config": "data: {name: shapes}\n", "elapsed": 1.5, "version": "0.1.0",
    "files": [{"name": f"rank-{r}.{kind}", **DIGEST} for r in range(2) for kind in ("safetensors", "json")],
}
put("manifest", "like_one", json.dumps(MANIFEST))
put("manifest", "not_json", "{")


def message(kind, name, text, seconds=0):
    wire = subprocess.run(["protoc", f"--encode=basin.coordinator.v1.{name}", f"--proto_path={ROOT}", "proto/coordinator.proto"],
                          input=text.encode(), capture_output=True, check=True, cwd=ROOT).stdout
    return bytes([kind + 16 * int(seconds * 4), len(wire)]) + wire


def join(member, extra=""):
    return message(0, "JoinRequest", f'caller {{ member: {member} incarnation: {7 + member} }} run_token: "t" host: "h" pid: 1 '
                   f'settings {{ members: 2 on_loss: CONTINUE heartbeat_s: 0.5 timeout_s: 1 }} {extra}')


def beat(member, extra="", seconds=0.0):
    return message(1, "HeartbeatRequest", f'caller {{ member: {member} incarnation: {7 + member} }} phase: TRAINING step: 3 '
                   f'operation: "exchange" steps_per_second: 2 {extra}', seconds)


GROUP = join(0) + join(1)
put("messages", "two_join", GROUP)
put("messages", "beats", GROUP + beat(0) + beat(1))
put("messages", "silence", GROUP + b"".join(beat(0, seconds=0.75) for _ in range(12)) + beat(0, "ready_epoch: 2"))
put("messages", "again", join(0, "again: true epoch: 2 group: 0 group: 1 agreed_step: 5 step: 6"))
put("messages", "leave", GROUP + message(2, "LeaveRequest", 'caller { member: 1 incarnation: 8 } kind: FAILED reason: "disk full"'))
put("messages", "report", GROUP + message(3, "ReportRequest", 'caller { member: 0 incarnation: 7 } measurements { name: "loss" value: nan }'))
put("messages", "values", GROUP + message(4, "PutRequest", 'caller { member: 0 incarnation: 7 } key: "k" value: "v"')
    + message(5, "GetRequest", 'caller { member: 1 incarnation: 8 } key: "k"'))
put("messages", "directive", message(6, "Directive", 'verdict: GO_ON epoch: 1 members: 0 members: 1 step: 0 reason: "r"'))

CALLER = "caller { member: 0 incarnation: 7 }"
FILE = safetensors({"w": entry("F32", [2], 0, 8)}, bytes(8))
OCTAL = "".join(f"\\{byte:03o}" for byte in FILE)
# The hash of FILE, by `xxhsum -H64`: a whole file in one chunk, then the question what is held.
HASH = 0x409955aa6c7afb8f
WHOLE = f'{CALLER} name: "members/000.safetensors" total_bytes: {len(FILE)} total_hash: {HASH}'
SENT = message(8, "WeightsChunk", f'{WHOLE} hash: {HASH} data: "{OCTAL}"')
put("messages", "weights", GROUP + SENT + message(9, "WeightsQuery", WHOLE))
put("messages", "weights_damaged", GROUP + message(8, "WeightsChunk", f'{WHOLE} hash: 1 data: "{OCTAL}"') + message(9, "WeightsQuery", WHOLE))
put("messages", "average", GROUP + message(10, "AverageRequest", f'{CALLER} members: 0 members: 1 method: WEIGHTED weights: 1 weights: 2 '
                                           'trim: 0.25 name: "average.safetensors"'))
POST = message(11, "PostTasksRequest", f'{CALLER} works: "a" works: "b" deadline_s: 0.5')
FETCH, GIVE = message(12, "FetchTaskRequest", CALLER, 0.75), message(13, "ReturnTaskRequest", f"{CALLER} id: 0 values: 1 values: nan")
put("messages", "tasks", GROUP + POST + FETCH + FETCH + GIVE + message(13, "ReturnTaskRequest", f"{CALLER} id: 1 values: 2")
    + message(13, "ReturnTaskRequest", f"{CALLER} id: 1 values: 3") + message(14, "TaskResultsRequest", f"{CALLER} from: 1"))
put("messages", "replies", message(15, "AverageReply", 'state: DONE reason: "r"') + message(15, "FetchTaskReply", 'state: GIVEN id: 1 work: "w"'))


def pth(name, content):
    """What torch.save writes: the whole file, or (first byte 1) its pickle alone."""
    file = io.BytesIO()
    torch.save(content, file)
    if name == "whole":
        return put("pth", name, b"\0" + file.getvalue())
    archive = zipfile.ZipFile(file)
    put("pth", name, b"\1" + next(archive.read(entry) for entry in archive.namelist() if entry.endswith("data.pkl")))


if torch is not None:
    matrix = torch.arange(6.0).view(2, 3)
    pth("whole", {"a": matrix, "b": torch.tensor([1, 2])})
    pth("dict", {"a": matrix, "b": torch.tensor([1, 2])})
    pth("ordered", collections.OrderedDict(w=matrix.t(), h=torch.zeros(3, dtype=torch.bfloat16)))
    pth("module", torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)).state_dict())
    pth("nested", {"state": {"a": matrix}, "epoch": 3})
    pth("float8", {"x": torch.zeros(4).to(torch.float8_e4m3fn)})

"""TensorBoard's own word on event files.

  tensorboard_events.py write FILE      writes tests/golden/events.tfevents with TensorBoard's record writer (made with 2.21.0)
  tensorboard_events.py read FOLDER     prints what TensorBoard's reader finds under FOLDER: {run: {tag: [[step, wall time, value], ...]}}
"""

import json
import sys

from tensorboard.backend.event_processing import event_multiplexer
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer import record_writer

# Numbers that reach every field: large steps, a long tag, values without a short binary form, negative and tiny ones.
SCALARS = [("step/loss", 1, 1700000000.25, 0.5), ("eval/accuracy", 300, 1700000001.5, 0.9265), ("t" * 200, 2**40, 1700000002.75, -1e-30),
           ("step/lr", 7, 1700000003.0, 3.4e38)]


def write(path):
    with open(path, "wb") as file:
        writer = record_writer.RecordWriter(file)
        writer.write(event_pb2.Event(wall_time=1700000000.0, file_version="brain.Event:2").SerializeToString())
        for tag, step, wall_time, value in SCALARS:
            summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, simple_value=value)])
            writer.write(event_pb2.Event(wall_time=wall_time, step=step, summary=summary).SerializeToString())
        writer.flush()


def read(folder):
    multiplexer = event_multiplexer.EventMultiplexer(size_guidance={"scalars": 0}).AddRunsFromDirectory(folder)
    multiplexer.Reload()
    return {run: {tag: [[event.step, event.wall_time, event.value] for event in multiplexer.Scalars(run, tag)] for tag in tags["scalars"]}
            for run, tags in multiplexer.Runs().items()}


if sys.argv[1] == "write":
    write(sys.argv[2])
else:
    print(json.dumps(read(sys.argv[2])))

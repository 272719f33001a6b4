// YAML that several tests of the configuration compare with.
#pragma once

namespace basin::trainer::testing {

// The example of the contract, character for character.
inline constexpr const char* kContractYaml = R"(run:        {name: quickstart, dir: runs/quickstart, seed: 1}
population:
  members: 4
  init: same                 # same (rank 0's weights are broadcast once) | different
  threads_per_member: 1      # intra-op threads
  device: auto               # auto | cpu | cuda
  overrides: []              # per member: {member: 2, train: {...}, data: {augment: [...]}}
data:
  name: shapes               # shapes | mnist | fashion-mnist | cifar10 | cifar100 | tensors | text
  path: null                 # folder or file of the data set; relative to the configuration file
  train_limit: null          # use the first K examples
  test_limit: null
  validation: 0.02           # share of train held out (greedy soup)
  augment: []                # for all members: [flip, {crop: {pad: 4}}, {random_erasing: {p: 0.15}}, {mixup: {alpha: 0.5}}, {cutmix: {alpha: 0.5}}, ...]
  augment_pool: null         # one draw for each member, e.g. {mixup: [0, .5, 1], label_smoothing: [0, .05, .1], cutmix: [0, .5, 1], random_erasing: [0, .15, .35]}
model:      {name: resnet20, width: 1, norm: batch}   # mlp | convnet | vgg11/13/16/19 | resnet20/32/44/56 | resnet18/34/50 | torchscript; norm: batch | layer | none
train:
  epochs: 10                 # or steps: 1000
  batch_size: 128
  optimizer: {name: sgd, lr: 0.1, momentum: 0.9, nesterov: false, weight_decay: 1.0e-4}    # sgd | adam | adamw
  schedule: {name: cosine, warmup_steps: 0, final_lr: 1.0e-4}                              # constant | cosine | multistep | linear
  label_smoothing: 0.0
  precision: float32         # float32 | bfloat16
strategy:
  name: wash                 # independent | wash | papa | papa-all | papa-2 | dart | local-sgd | diloco | sparta | gossip | ...
  p: 0.001                   # wash: share of coordinates that really move, first tensor
  every_steps: 1
  law: linear                # linear (p falls to 0 at the last tensor) | constant
  depth: tensor              # what counts as a layer: tensor | module | parameters
  optimizer_state: false     # true: WASH+Opt
  start: 0.0                 # share of training at which exchanges begin and end
  stop: 1.0
  schedule: constant         # constant | lr (p follows lr_t / lr_0) | cosine
comm:       {backend: auto, timeout_s: 60}             # auto | in_process | mpi | nccl
evaluate:   {every_epochs: 1, batch_size: 1000, recalibrate_batches: 50}
lmc:        {points: 25, pairs: all, splits: [train, test], train_limit: 10000}   # pairs: all | first | none
checkpoint: {every_steps: 0, keep: 2}
coordinator: {address: embedded, heartbeat_s: 2, timeout_s: 10, on_loss: abort, tls: null}   # on_loss: abort | continue
report:     {tensorboard: true, html: true, progress: auto}
)";

// What the contract's example means, written by hand: each key once, in the contract's order.
inline constexpr const char* kDefaultYaml = R"(run:
  name: run
  dir: runs/run
  seed: 1
population:
  members: 4
  init: same
  threads_per_member: 1
  device: auto
  overrides: []
data:
  name: shapes
  path: null
  train_limit: null
  test_limit: null
  validation: 0.02
  normalize: null
  augment: []
  augment_pool: null
model:
  name: resnet20
  width: 1.0
  norm: batch
train:
  epochs: 10
  batch_size: 128
  optimizer: {name: sgd, lr: 0.1, momentum: 0.9, nesterov: false, weight_decay: 1.0e-4}
  schedule: {name: cosine, warmup_steps: 0, final_lr: 1.0e-4}
  label_smoothing: 0.0
  precision: float32
strategy:
  name: wash
  p: 0.001
  every_steps: 1
  law: linear
  depth: tensor
  optimizer_state: false
  start: 0.0
  stop: 1.0
  budget: null
  schedule: constant
  delay_steps: 0
  correction: 1.0
  payload: float32
comm:
  backend: auto
  timeout_s: 60.0
  emulate: null
evaluate:
  every_epochs: 1
  batch_size: 1000
  recalibrate_batches: 50
lmc:
  points: 25
  pairs: all
  splits: [train, test]
  train_limit: 10000
checkpoint:
  every_steps: 0
  keep: 2
coordinator:
  address: embedded
  heartbeat_s: 2.0
  timeout_s: 10.0
  on_loss: abort
  finish_with_lost: true
  tls: null
report:
  tensorboard: true
  html: true
  trace: false
  progress: auto
faults: []
)";

}  // namespace basin::trainer::testing

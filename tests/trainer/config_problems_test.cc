// What is refused, and with which words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "trainer/config/config.h"

namespace basin::trainer {
namespace {

using ::testing::HasSubstr;

std::string Message(const std::string& text, const std::vector<std::string>& set = {}) {
  try {
    ParseRunConfig(text, "a.yaml", "/folder", set);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

struct Bad {
  const char* yaml;
  std::vector<const char*> fragments;  ///< that the message must hold
};

class BadConfig : public ::testing::TestWithParam<Bad> {};

TEST_P(BadConfig, IsRefusedWithOneLineThatSaysWhereWhatAndWhatIsAllowed) {
  const std::string message = Message(GetParam().yaml);
  for (const char* fragment : GetParam().fragments) EXPECT_THAT(message, HasSubstr(fragment));
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 0) << message;
  EXPECT_TRUE(message.starts_with("a.yaml")) << message;
}

INSTANTIATE_TEST_SUITE_P(Numbers, BadConfig, ::testing::Values(
    Bad{"strategy: {name: wash, p: 1.5}", {"a.yaml:1: strategy.p: 1.5 is outside [0, 1]"}},
    Bad{"\n\nstrategy:\n  p: -0.1", {"a.yaml:4: strategy.p: -0.1 is outside [0, 1]"}},
    Bad{"strategy: {name: papa, alpha: 1.01}", {"strategy.alpha: 1.01 is outside [0, 1]"}},
    Bad{"strategy: {name: gossip, weight: 2}", {"strategy.weight: 2 is outside [0, 1]"}},
    Bad{"train: {optimizer: {lr: .nan}}", {"train.optimizer.lr: .nan is not a finite number; it must be >= 0"}},
    Bad{"train: {optimizer: {lr: .inf}}", {"train.optimizer.lr: .inf is not a finite number"}},
    Bad{"train: {optimizer: {lr: 1.0e+999}}", {"train.optimizer.lr: 1.0e+999 does not fit a double"}},
    Bad{"train: {optimizer: {lr: -0.1}}", {"train.optimizer.lr: -0.1 is not allowed; it must be >= 0"}},
    Bad{"train: {optimizer: {lr: fast}}", {"train.optimizer.lr: 'fast' is not a number"}},
    Bad{"train: {optimizer: {lr: '0.1'}}", {"train.optimizer.lr: '0.1' is not a number"}},
    Bad{"train: {optimizer: {lr: [0.1]}}", {"train.optimizer.lr: a list is not a number"}},
    Bad{"train: {optimizer: {lr: }}", {"train.optimizer.lr: null is not a number"}},
    Bad{"train: {optimizer: {momentum: 1}}", {"train.optimizer.momentum: 1 is outside [0, 1)"}},
    Bad{"train: {optimizer: {momentum: 0, nesterov: true}}", {"train.optimizer.nesterov", "momentum above 0"}},
    Bad{"train: {label_smoothing: 1}", {"train.label_smoothing: 1 is outside [0, 1)"}},
    Bad{"train: {batch_size: 0}", {"train.batch_size: 0 is not allowed; it must be >= 1"}},
    Bad{"train: {batch_size: 10.5}", {"train.batch_size: 10.5 is not a whole number"}},
    Bad{"train: {steps: 0}", {"train.steps: 0 is outside [1, 1000000000]"}},
    Bad{"train: {epochs: 9223372036854775807}", {"train.epochs: 9223372036854775807 is outside [1, 1000000000]"}},
    Bad{"strategy: {every_steps: 9223372036854775807}", {"strategy.every_steps: 9223372036854775807 is outside"}},
    Bad{"evaluate: {batch_size: 9223372036854775807}", {"evaluate.batch_size: 9223372036854775807 is outside"}},
    Bad{"population: {members: 0}", {"population.members: 0 is outside [1, 4096]"}},
    Bad{"run: {seed: -1}", {"run.seed: -1 is not allowed; it must be >= 0"}},
    Bad{"run: {seed: 9223372036854775808}", {"run.seed: 9223372036854775808 is outside [0, 9223372036854775807]"}},
    Bad{"model: {width: 0}", {"model.width: 0 is outside (0, 64]"}},
    Bad{"lmc: {points: 1}", {"lmc.points: 1 is outside [2, 10001]"}},
    Bad{"comm: {emulate: {latency: 5, bandwidth: 100Mbps}}",
        {"comm.emulate.latency: '5' is not a duration: it has no unit", "such as 5ms"}},
    Bad{"comm: {emulate: {latency: 5ms}}", {"comm.emulate.bandwidth: is needed", "100Mbps"}},
    Bad{"comm: {emulate: {latency: 5ms, bandwidth: 100MB}}", {"comm.emulate.bandwidth: '100MB' is not a rate", "unit 'MB' is not known"}},
    Bad{"comm: {emulate: {latency: [5ms], bandwidth: 1Gbps}}", {"comm.emulate.latency: 'a list' is not a duration"}},
    Bad{"comm: {emulate: slow}", {"comm.emulate: 'slow' is not a section"}},
    Bad{"strategy: {budget: {bytes_per_rank: 50}}", {"strategy.budget.bytes_per_rank: '50' is not a number of bytes: it has no unit"}},
    Bad{"strategy: {budget: {bytes_per_rank: 0MB}}", {"strategy.budget.bytes_per_rank: must be above 0"}},
    Bad{"strategy: {budget: {}}", {"strategy.budget.bytes_per_rank: 0 limits are given; give one of"}},
    Bad{"strategy: {budget: {seconds: 3, share: 0.1}}", {"strategy.budget.bytes_per_rank: 2 limits are given"}},
    Bad{"strategy: {budget: {seconds: 0}}", {"strategy.budget.seconds: 0 is not allowed; it must be > 0"}},
    Bad{"strategy: {budget: {share: 1}}", {"strategy.budget.share: 1 is outside (0, 1)"}},
    Bad{"strategy: {budget: 50MB}", {"strategy.budget: '50MB' is not a section"}},
    Bad{"strategy: {name: papa-all, budget: {seconds: 3}}", {"strategy.budget: a key of wash, papa, ", ", not of papa-all"}},
    Bad{"strategy: {name: local-sgd, post_local_from: 5, budget: {seconds: 3}}",
        {"strategy.post_local_from: 5 is not possible with a budget"}},
    Bad{"comm: {timeout_s: 0}", {"comm.timeout_s: 0 is outside [0.001, 1e+06]"}},
    Bad{"data: {validation: 1}", {"data.validation: 1 is outside [0, 1)"}},
    Bad{"train: {schedule: {name: multistep, milestones: [0.5, 2]}}", {"train.schedule.milestones[1]: 2 is outside [0, 1]"}}));

INSTANTIATE_TEST_SUITE_P(Names, BadConfig, ::testing::Values(
    Bad{"train:\n  optimiser: {lr: 1}", {"a.yaml:2: train.optimiser: unknown key (did you mean 'optimizer'?); allowed: epochs, steps, batch_size, "}},
    Bad{"tarin: {}", {"a.yaml:1: tarin: unknown key (did you mean 'train'?); allowed: run, population"}},
    Bad{"train: {optimizer: {name: adamx}}", {"train.optimizer.name: 'adamx' is not known (did you mean 'adam'?); allowed: sgd, adam, adamw"}},
    Bad{"strategy: {name: wsh, alpha: 1}", {"strategy.name: 'wsh' is not known (did you mean 'wash'?); allowed: independent, wash"}},
    Bad{"model: {name: torch-script}", {"model.name: 'torch-script' is not known", "did you mean 'torchscript'", "allowed: mlp, convnet"}},
    Bad{"model: {name: torchscript}", {"model.path", "name it"}},
    Bad{"model: {name: torchscript, path: net.pt, width: 2}", {"model.width", "not of torchscript"}},
    Bad{"model: {name: mlp, path: net.pt}", {"model.path", "a key of torchscript"}},
    Bad{"{population: {init: different}, model: {name: torchscript, path: net.pt}}", {"model.name", "population.init"}},
    Bad{"{model: {name: torchscript, path: net.pt}, strategy: {name: papa-all}}", {"strategy.renorm", "allowed: none, reset"}},
    Bad{"{model: {name: torchscript, path: net.pt}, strategy: {name: dart, align: weight}}", {"strategy.align", "allowed: none"}},
    Bad{"data: {name: text}", {"data.name: 'text' is not known", "allowed: shapes"}},
    Bad{"population: {init: sam}", {"population.init: 'sam' is not known (did you mean 'same'?); allowed: same, different"}},
    Bad{"report: {html: yes}", {"report.html: 'yes' is not a truth value; allowed: true, false"}},
    Bad{"strategy: {name: wash, alpha: 0.5}", {"strategy.alpha: a key of papa, not of wash"}},
    Bad{"strategy: {name: papa, every_epochs: 5}", {"strategy.every_epochs: a key of papa-all, papa-2, dart, not of papa"}},
    Bad{"strategy: {name: independent, every_steps: 5}", {"strategy.every_steps: a key of wash, ", ", not of independent"}},
    Bad{"train: {optimizer: {name: adam, momentum: 0.9}}", {"train.optimizer.momentum: a key of sgd, not of adam"}},
    Bad{"train: {schedule: {name: constant, final_lr: 0}}", {"train.schedule.final_lr: a key of cosine, linear, not of constant"}},
    Bad{"model: {name: convnet, hidden: [4]}", {"model.hidden: a key of mlp, not of convnet"}},
    Bad{"run: {name: a/b}", {"run.name: 'a/b' is not a name for a folder"}},
    Bad{"run: {name: ''}", {"run.name: an empty text is not allowed"}}));

INSTANTIATE_TEST_SUITE_P(Relations, BadConfig, ::testing::Values(
    Bad{"strategy: {start: 0.6, stop: 0.4}", {"strategy.stop: 0.4 is before start, 0.6"}},
    Bad{"train: {epochs: 1, steps: 1}", {"train.steps: epochs and steps are both given"}},
    Bad{"data: {name: cifar10}", {"a.yaml:1: data.path: data set cifar10 is read from files; name their folder"}},
    Bad{"coordinator: {heartbeat_s: 5, timeout_s: 5}", {"coordinator.timeout_s: must be longer than heartbeat_s"}},
    Bad{"data: {normalize: {mean: [0, 0], std: [1]}}", {"data.normalize.std: 1 values for 2 of mean"}},
    Bad{"data: {normalize: {mean: [x], std: [1]}}", {"data.normalize.mean[0]: 'x' is not a number; it must be finite"}},
    Bad{"data: {normalize: {mean: [0], std: [0]}}", {"data.normalize.std[0]: 0 is not allowed; it must be > 0"}},
    Bad{"data: {augment: [mixup], augment_pool: {mixup: [0, 1]}}", {"data.augment_pool: draws mixup, which augment has already"}},
    Bad{"population: {overrides: [{member: 4}]}", {"population.overrides[0].member: member 4 does not exist; members are 0 to 3"}},
    Bad{"population: {overrides: [{member: -1}]}", {"population.overrides[0].member: -1 is not allowed"}},
    Bad{"population: {overrides: [{train: {batch_size: 2}}]}", {"population.overrides[0].member: an override must say whose it is"}},
    Bad{"population: {overrides: [{member: 1}, {member: 1}]}", {"population.overrides[1].member: member 1 is overridden twice"}},
    Bad{"population: {overrides: [{member: 1, train: {epochs: 2}}]}", {"population.overrides[0].train.epochs: all members train equally long"}},
    Bad{"population: {overrides: [{member: 1, model: {width: 2}}]}", {"population.overrides[0].model: unknown key", "allowed: member, train, data"}},
    Bad{"strategy: {optimizer_state: true}\npopulation: {overrides: [{member: 2, train: {optimizer: {name: adam}}}]}",
        {"a.yaml:2: population.overrides: the optimizer of member 2 keeps 2 moments a weight, that of member 0 1; strategy.optimizer_state"}},
    Bad{"strategy: {optimizer_state: true}\npopulation: {members: 2, overrides: [{member: 0, train: {optimizer: {momentum: 0}}}]}",
        {"the optimizer of member 1 keeps 1 moments a weight, that of member 0 0"}},
    Bad{"population: {overrides: {member: 1}}", {"population.overrides: a section is not a list"}}));

INSTANTIATE_TEST_SUITE_P(Shapes, BadConfig, ::testing::Values(
    Bad{"train: 5", {"a.yaml:1: train: 5 is not a section"}},
    Bad{"- 5", {"a.yaml:1: a list is not a configuration"}},
    Bad{"train:\n  batch_size: 1\n  batch_size: 2", {"a.yaml:3: train.batch_size: key given twice, first at a.yaml:2"}},
    Bad{"data: {augment: flip}", {"data.augment: 'flip' is not a list"}},
    Bad{"data: {augment: [flop]}", {"data.augment[0]: 'flop' is not known (did you mean 'flip'?); allowed: flip, crop"}},
    Bad{"data: {augment: [{crop: {padd: 4}}]}", {"data.augment[0].crop.padd: unknown key (did you mean 'pad'?); allowed: pad"}},
    Bad{"data: {augment: [{crop: 4}]}", {"data.augment[0].crop: 4 is not a section"}},
    Bad{"data: {augment: [{crop: {}, flip: {}}]}", {"data.augment[0]: a section is not an augmentation"}},
    Bad{"data: {augment: [flip, flip]}", {"data.augment[1]: flip is given twice"}},
    Bad{"data: {augment: [{flip: {p: 2}}]}", {"data.augment[0].flip.p: 2 is outside [0, 1]"}},
    Bad{"data: {augment: [{mixup: {alpha: -1}}]}", {"data.augment[0].mixup.alpha: -1 is not allowed"}},
    Bad{"data: {augment_pool: {random_erasing: [0, 1.2]}}", {"data.augment_pool.random_erasing[1]: 1.2 is outside [0, 1]"}},
    Bad{"data: {augment_pool: {mixup: 0.5}}", {"data.augment_pool.mixup: 0.5 is not a list"}},
    Bad{"lmc: {splits: []}", {"lmc.splits: an empty list is not allowed"}},
    Bad{"lmc: {splits: [dev]}", {"lmc.splits: 'dev' is not known"}},
    Bad{"coordinator: {address: 'host'}", {"coordinator.address: 'host' is not an address; allowed: embedded, none, or HOST:PORT"}},
    Bad{"coordinator: {address: 'host:0'}", {"coordinator.address: 'host:0' is not an address"}},
    Bad{"coordinator: {on_loss: continu}", {"coordinator.on_loss: 'continu' is not known", "did you mean 'continue'?"}},
    Bad{"coordinator: {on_loss: continue, address: none}", {"coordinator.on_loss: continue needs a coordinator"}},
    Bad{"coordinator: {address: 'host:7700', tls: {cert: a}}", {"coordinator.tls.cert: and key and ca are needed together"}},
    Bad{"coordinator: {tls: {cert: a, key: b, ca: c}}", {"coordinator.tls: needs coordinator.address: HOST:PORT"}},
    Bad{"coordinator: {address: 'host:7700', tls: {cert: a, key: b, ca: c, cart: d}}", {"coordinator.tls.cart", "did you mean 'cert'?"}},
    Bad{"strategy: {delay_steps: 11}", {"strategy.delay_steps: 11 is outside [0, 10]"}},
    Bad{"strategy: {name: sparta, correction: 1.5}", {"strategy.correction: 1.5 is outside [0, 1]"}},
    Bad{"strategy: {payload: float16}",
        {"strategy.payload: 'float16' is not known", "float32, bfloat16, float8, float8_e4m3, float8_e5m2"}},
    Bad{"strategy: {name: papa, payload: float8}", {"strategy.payload"}},
    Bad{"strategy: {payload: float8, optimizer_state: true}\ntrain: {optimizer: {name: adam}}",
        {"strategy.payload: float8 has too little range for the second moment of member 0's optimizer"}},
    Bad{"train: {batch_size: 4\nlmc: {", {"a.yaml:2:", "not valid YAML"}},
    Bad{"a: b: c", {"a.yaml:1:5: not valid YAML"}},
    Bad{"run: {}\n---\nrun: {}", {"holds 2 YAML documents"}},
    Bad{",run: {}", {"starts with a stray sign"}},
    Bad{"data: {augment: &r [*r]}", {"a.yaml:1: data.augment", "does an anchor contain itself?"}},
    Bad{"run: !!python/none {}", {"a.yaml:1: run: the tag"}}));

TEST(ConfigProblems, AreAllReportedAtOnceEachOnItsLine) {
  EXPECT_EQ(Message("run: {seed: -1}\n"
                    "train:\n"
                    "  batch_size: 0\n"
                    "  optimizer: {lr: x, lrr: 1}\n"
                    "strategy: {name: papa, alpha: 2, p: 0.1}\n",
                    {"lmc.points=1", "nonsense"}),
            "--set nonsense: expected KEY=VALUE with a dotted key, e.g. --set train.optimizer.lr=0.2\n"
            "a.yaml:1: run.seed: -1 is not allowed; it must be >= 0\n"
            "a.yaml:3: train.batch_size: 0 is not allowed; it must be >= 1\n"
            "a.yaml:4: train.optimizer.lr: 'x' is not a number; it must be >= 0\n"
            "a.yaml:4: train.optimizer.lrr: unknown key (did you mean 'lr'?); allowed: name, lr, momentum, nesterov, weight_decay\n"
            "a.yaml:5: strategy.alpha: 2 is outside [0, 1]\n"
            "a.yaml:5: strategy.p: a key of wash, sparta, not of papa\n"
            "--set lmc.points=1: lmc.points: 1 is outside [2, 10001]");
}

TEST(ConfigProblems, OfSetNameTheArgument) {
  EXPECT_EQ(Message("", {"strategy.p=1.5"}), "--set strategy.p=1.5: strategy.p: 1.5 is outside [0, 1]");
  EXPECT_THAT(Message("", {"strategy.q=1"}), HasSubstr("--set strategy.q=1: strategy.q: unknown key"));
  EXPECT_EQ(Message("train: {batch_size: 2}", {"train.batch_size.x=1"}),
            "--set train.batch_size.x=1: train.batch_size: 2 is not a section, so it has no keys below it");
  EXPECT_THAT(Message("", {"data.augment=[flip"}), HasSubstr("--set data.augment=[flip: data.augment: not valid YAML"));
  for (const char* bad : {"=1", ".a=1", "a.=1", "a..b=1", "a"}) EXPECT_THAT(Message("", {bad}), HasSubstr("expected KEY=VALUE")) << bad;
}

}  // namespace
}  // namespace basin::trainer

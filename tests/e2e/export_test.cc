// basin export: what it writes is what Python's torch.load reads, and the other way round.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/pth.h"
#include "tests/support/finished_run.h"
#include "tests/support/python.h"
#include "tests/support/sha256.h"

namespace basin {
namespace {

using base::Json;
using test::CommandResult;
using testing::HasSubstr;

/// As tests/e2e/read_pth.py describes a state dict.
Json Describe(const std::vector<base::TensorView>& tensors) {
  const std::map<base::DType, const char*> names{{base::DType::kF32, "torch.float32"},         {base::DType::kF16, "torch.float16"},
                                                 {base::DType::kBF16, "torch.bfloat16"},       {base::DType::kI64, "torch.int64"},
                                                 {base::DType::kBool, "torch.bool"},           {base::DType::kU16, "torch.uint16"},
                                                 {base::DType::kF8E4M3, "torch.float8_e4m3fn"}};
  Json json;
  for (const base::TensorView& tensor : tensors) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(tensor.bytes.data());
    json[tensor.name] = {names.at(tensor.dtype), tensor.shape, test::Sha256({bytes, tensor.bytes.size()})};
  }
  return json;
}

class Export : public test::FinishedRun {
 protected:
  static void SetUpTestSuite() {
    Train({std::string(BASIN_SOURCE_DIR) + "/configs/smoke.yaml", "--set", "model={name: mlp, norm: none, hidden: [16]}", "--set",
           "train.steps=1", "--set", "lmc.pairs=none"});
    python_ = test::PythonWithTorch();
  }
  /// What the script prints.
  static Json Python(std::vector<std::string> words) {
    words.insert(words.begin(), {python_, std::string(BASIN_SOURCE_DIR) + "/tests/e2e/read_pth.py"});
    const CommandResult result = test::RunCommand(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }
  static inline std::string python_;
};

TEST_F(Export, ThereAndBackAgainIsTheSameFile) {
  const Json there = AsJson({"export", Member(0), "--to", "pth", "--out", Path("a.pth"), "--json"});
  EXPECT_EQ(there["tensors"], 4);
  EXPECT_EQ(there["bytes"], std::filesystem::file_size(Path("a.pth")));
  EXPECT_EQ(Basin({"export", Path("a.pth"), "--to", "safetensors", "--out", Path("a.safetensors")}).exit_code, 0);
  EXPECT_EQ(Basin({"inspect", Path("a.safetensors"), "--diff", Member(0)}).exit_code, 0);
}

TEST_F(Export, PythonLoadsItAsAStateDictOfTheNetwork) {
  if (python_.empty()) GTEST_SKIP() << "no Python with torch here: set BASIN_PYTHON to one";
  ASSERT_EQ(Basin({"export", Path("run/average.safetensors"), "--to", "pth", "--out", Path("average.pth")}).exit_code, 0);
  const base::SafetensorsReader average(Path("run/average.safetensors"));
  EXPECT_EQ(Python({Path("average.pth"), "--mlp", "1200", "16", "10"}), Describe(average.tensors()));
}

TEST_F(Export, PythonsOwnFileIsReadWhateverItsStrides) {
  if (python_.empty()) GTEST_SKIP() << "no Python with torch here: set BASIN_PYTHON to one";
  const Json wanted = Python({"--write", Path("python.pth")});
  EXPECT_EQ(Describe(base::PthReader(Path("python.pth")).tensors()), wanted);
  ASSERT_EQ(Basin({"export", Path("python.pth"), "--to", "safetensors", "--out", Path("python.safetensors")}).exit_code, 0);
  ASSERT_EQ(Basin({"export", Path("python.safetensors"), "--to", "pth", "--out", Path("again.pth")}).exit_code, 0);
  const Json again = Python({Path("again.pth")});
  for (const auto& [name, tensor] : wanted.items()) EXPECT_EQ(again[name], tensor) << name;  // safetensors has another order
}

TEST_F(Export, WhatIsNoModelIsRefused) {
  base::WriteFileAtomically(Path("text.txt"), "no model");
  EXPECT_EQ(Basin({"export", Path("text.txt"), "--to", "pth", "--out", Path("x.pth")}).exit_code, 3);
  EXPECT_EQ(Basin({"export", Path("nowhere"), "--to", "pth", "--out", Path("x.pth")}).exit_code, 3);
  EXPECT_EQ(Basin({"export", Member(0), "--to", "onnx", "--out", Path("x.onnx")}).exit_code, 2);
  EXPECT_FALSE(std::filesystem::exists(Path("x.pth")));
}

}  // namespace
}  // namespace basin

#include "data/tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string>

#include "base/error.h"
#include "base/files.h"
#include "base/safetensors.h"
#include "data/registry.h"
#include "tests/support/message_of.h"

namespace basin::data {
namespace {

using test::MessageOf;
using testing::AllOf;
using testing::HasSubstr;
using Tensors = std::map<std::string, torch::Tensor>;

base::DType DTypeOf(const torch::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case torch::kUInt8: return base::DType::kU8;
    case torch::kFloat32: return base::DType::kF32;
    case torch::kFloat64: return base::DType::kF64;
    case torch::kInt32: return base::DType::kI32;
    default: return base::DType::kI64;
  }
}

/// Four training and two test images [2, 3, 1]; labels 0 2 1 0 and 2 1.
class TensorFiles : public testing::Test {
 protected:
  TensorFiles() {
    train_ = {{"images", (torch::arange(24) * 10).to(torch::kUInt8).view({4, 2, 3, 1})},
              {"labels", torch::tensor({0, 2, 1, 0}, torch::kInt64)}};
    test_ = {{"images", torch::arange(12).to(torch::kUInt8).view({2, 2, 3, 1})},
             {"labels", torch::tensor({2, 1}, torch::kInt64)}};
  }
  void Write(const std::string& name, const Tensors& tensors, const std::map<std::string, std::string>& metadata = {}) {
    std::vector<base::TensorView> views;
    for (const auto& [key, tensor] : tensors) {
      views.push_back({key, DTypeOf(tensor), tensor.sizes().vec(),
                       {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}});
    }
    base::WriteSafetensors(folder_.path() / name, views, metadata);
  }
  Dataset Load() {
    Write("train.safetensors", train_, metadata_);
    Write("test.safetensors", test_);
    return LoadTensors({.path = folder_.path()});
  }
  std::string Message() {
    return MessageOf<DataError>([&] { Load(); });
  }

  base::TemporaryFolder folder_;
  Tensors train_, test_;
  std::map<std::string, std::string> metadata_;
};

TEST_F(TensorFiles, BytesAreReadAsTheyWereWritten) {
  const Dataset dataset = Load();
  EXPECT_TRUE(torch::equal(dataset.train.images, train_["images"]));
  EXPECT_TRUE(torch::equal(dataset.train.labels, train_["labels"]));
  EXPECT_TRUE(torch::equal(dataset.test.images, test_["images"]));
  EXPECT_EQ(dataset.classes, 3);
  EXPECT_EQ(dataset.validation.size(), 0);
  EXPECT_TRUE(dataset.normalisation.mean.empty());
}

TEST_F(TensorFiles, FloatImagesAreReadAsTheyWereWritten) {
  train_["images"] = torch::arange(24).to(torch::kFloat32).view({4, 2, 3, 1}) - 7.5;
  test_["images"] = torch::ones({2, 2, 3, 1});
  EXPECT_TRUE(torch::equal(Load().train.images, train_["images"]));
}

TEST_F(TensorFiles, ConstantsAndValidationComeFromTheFiles) {
  train_["mean"] = torch::tensor({0.25, 0.5}, torch::kFloat32);
  train_["std"] = torch::tensor({0.125, 2.0}, torch::kFloat32);
  Write("validation.safetensors", test_);
  const Dataset dataset = Load();
  EXPECT_EQ(dataset.normalisation.mean, (std::vector<double>{0.25, 0.5}));
  EXPECT_EQ(dataset.normalisation.std, (std::vector<double>{0.125, 2.0}));
  EXPECT_TRUE(torch::equal(dataset.validation.images, test_["images"]));
  const auto registered = LoadDataset({.name = "tensors", .path = folder_.path(), .validation = 0.5});
  EXPECT_EQ(registered->train.size(), 4) << "nothing is held out when the files bring a validation split";
  EXPECT_EQ(registered->validation.size(), 2);
  EXPECT_EQ(registered->normalisation.mean, dataset.normalisation.mean);
}

TEST_F(TensorFiles, WithoutConstantsTheyAreMeasured) {
  Load();
  const auto dataset = LoadDataset({.name = "tensors", .path = folder_.path(), .validation = 0});
  const Normalisation measured = MeasureNormalisation(dataset->train);
  EXPECT_EQ(dataset->normalisation.mean, measured.mean);
  EXPECT_EQ(dataset->normalisation.std, measured.std);
}

TEST_F(TensorFiles, MeasuredConstantsDoNotDependOnTheSeedOfTheValidationSplit) {
  Load();
  const auto load = [&](uint64_t seed) {
    return LoadDataset({.name = "tensors", .path = folder_.path(), .validation = 0.5, .seed = seed});
  };
  const auto first = load(1);
  bool splits_differ = false;
  for (uint64_t seed = 2; seed < 10; ++seed) {
    const auto other = load(seed);
    splits_differ |= !torch::equal(other->train.images, first->train.images);
    EXPECT_EQ(other->normalisation.mean, first->normalisation.mean);
    EXPECT_EQ(other->normalisation.std, first->normalisation.std);
  }
  EXPECT_TRUE(splits_differ);
}

TEST_F(TensorFiles, MetadataNamesTheNumberOfClasses) {
  metadata_ = {{"classes", "7"}};
  EXPECT_EQ(Load().classes, 7);
  metadata_ = {{"classes", "2"}};
  EXPECT_THAT(Message(), AllOf(HasSubstr("train.safetensors"), HasSubstr("label 1 is 2"), HasSubstr("[0, 2)")));
  for (const char* bad : {"three", "", "3 ", "0", "-1", "3.0"}) {
    metadata_ = {{"classes", bad}};
    EXPECT_THAT(Message(), AllOf(HasSubstr("\"classes\""), HasSubstr("whole number"))) << bad;
  }
}

TEST_F(TensorFiles, TestLabelsBeyondTheTrainingClassesAreRefused) {
  test_["labels"] = torch::tensor({0, 3}, torch::kInt64);
  EXPECT_THAT(Message(), AllOf(HasSubstr("test.safetensors"), HasSubstr("label 1 is 3"), HasSubstr("[0, 3)")));
  test_["labels"] = torch::tensor({0, 1}, torch::kInt64);
  Write("validation.safetensors", {{"images", test_["images"]}, {"labels", torch::tensor({5, 0}, torch::kInt64)}});
  EXPECT_THAT(Message(), AllOf(HasSubstr("validation.safetensors"), HasSubstr("label 0 is 5")));
}

TEST_F(TensorFiles, NegativeLabelsAreRefused) {
  train_["labels"] = torch::tensor({-1, -1, -1, -1}, torch::kInt64);
  EXPECT_THAT(Message(), HasSubstr("label 0 is -1"));
}

TEST_F(TensorFiles, ALabelThatWouldNeedANetworkOfAnySizeIsRefused) {
  for (const int64_t label : {int64_t{1'000'000}, std::numeric_limits<int64_t>::max()}) {
    train_["labels"] = torch::tensor({int64_t{0}, label, int64_t{1}, int64_t{2}}, torch::kInt64);
    EXPECT_THAT(Message(), AllOf(HasSubstr("train.safetensors: tensor 'labels'"), HasSubstr(Text("the label ", label)),
                                 HasSubstr("metadata entry \"classes\"")));
  }
  train_["labels"][1] = 1'000'000;
  metadata_ = {{"classes", "1000001"}};
  EXPECT_EQ(Load().classes, 1'000'001);
}

TEST_F(TensorFiles, ANonFinitePixelIsNamed) {
  train_["images"] = torch::zeros({4, 2, 3, 1});
  train_["images"][3][0][2][0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(Message(), AllOf(HasSubstr("train.safetensors"), HasSubstr("image 3"), HasSubstr("position 2")));
}

TEST_F(TensorFiles, WrongDtypesAreRefused) {
  test_["labels"] = torch::tensor({2, 1}, torch::kInt32);
  EXPECT_THAT(Message(),
              AllOf(HasSubstr("test.safetensors"), HasSubstr("'labels' has dtype I32"), HasSubstr("must be I64")));
  train_["images"] = torch::zeros({4, 2, 3, 1}, torch::kFloat64);
  EXPECT_THAT(Message(), AllOf(HasSubstr("'images' has dtype F64"), HasSubstr("allowed: U8, F32")));
}

TEST_F(TensorFiles, WrongShapesAreRefused) {
  const Tensors good = train_;
  train_["images"] = torch::zeros({4, 6}, torch::kUInt8);
  EXPECT_THAT(Message(), AllOf(HasSubstr("train.safetensors"), HasSubstr("[4, 6]")));
  train_ = good;
  train_["labels"] = torch::tensor({0, 1, 2}, torch::kInt64);
  EXPECT_THAT(Message(), AllOf(HasSubstr("[3] for 4 images"), HasSubstr("one label for each image")));
  train_ = good;
  train_["images"] = torch::zeros({0, 2, 3, 1}, torch::kUInt8);
  train_["labels"] = torch::zeros({0}, torch::kInt64);
  EXPECT_THAT(Message(), HasSubstr("[0, 2, 3, 1]"));
}

TEST_F(TensorFiles, TrainAndTestMustLookAlike) {
  test_["images"] = torch::zeros({2, 2, 1, 3}, torch::kUInt8);
  EXPECT_THAT(Message(), AllOf(HasSubstr("test.safetensors"), HasSubstr("[2, 2, 1, 3]"), HasSubstr("[4, 2, 3, 1]")));
  test_["images"] = torch::zeros({2, 2, 3, 1});
  EXPECT_THAT(Message(), HasSubstr("dtype"));
}

TEST_F(TensorFiles, BadConstantsAreRefused) {
  train_["mean"] = torch::zeros({2});
  EXPECT_THAT(Message(), AllOf(HasSubstr("'mean' without 'std'"), HasSubstr("both or neither")));
  train_["std"] = torch::ones({3});
  EXPECT_THAT(Message(), AllOf(HasSubstr("'std' has shape [3]"), HasSubstr("must be [2]")));
  train_["std"] = torch::tensor({1.0f, 0.0f});
  EXPECT_THAT(Message(), AllOf(HasSubstr("channel 1"), HasSubstr("std 0"), HasSubstr("above 0")));
  train_["std"] = torch::ones({2}, torch::kInt64);
  EXPECT_THAT(Message(), HasSubstr("'std' has dtype I64"));
}

TEST_F(TensorFiles, AMissingTensorOrFileIsNamed) {
  EXPECT_THAT(MessageOf<DataError>([&] { LoadTensors({.path = folder_.path()}); }),
              HasSubstr("looked for train.safetensors"));
  train_.erase("labels");
  EXPECT_THAT(Message(), AllOf(HasSubstr("train.safetensors"), HasSubstr("labels")));
}

TEST_F(TensorFiles, AFileCutShortIsRefused) {
  Load();
  const std::string content = base::ReadFile(folder_.path() / "test.safetensors");
  base::WriteFileAtomically(folder_.path() / "test.safetensors", content.substr(0, content.size() - 1));
  EXPECT_THAT(MessageOf<DataError>([&] { LoadTensors({.path = folder_.path()}); }), HasSubstr("test.safetensors"));
}

}  // namespace
}  // namespace basin::data

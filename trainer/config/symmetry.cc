#include "trainer/config/symmetry.h"

#include <map>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/nearest.h"
#include "models/state_dict.h"
#include "trainer/config/yaml.h"

namespace basin::trainer {
namespace {

/// Where an id was first met, and in which roles.
struct IdUse {
  std::string where, tensor;
  int64_t axis = 0, size = 0;
  bool producer = false, consumer = false;
};

class Reader {
 public:
  Reader(const models::StateDict& state, Problems& problems) : state_(state), problems_(problems) {}

  models::PermutationSpec Read(const Yaml& root, const std::string& origin) {
    if (!root.IsMap()) {
      problems_.Add(origin, "", Text("found ", root.Found(), "; a specification is a map from tensor names to lists of ids, e.g. fc1.weight: [hidden, null]"));
      return {};
    }
    for (size_t k = 0; k < root.keys.size(); ++k) ReadTensor(root.keys[k], root.items[k]);
    for (const auto& [id, use] : ids_) {
      if (!use.producer) problems_.Add(use.where, use.tensor, Text("id ", id, " has no producer: it is on axis 0 of no tensor"));
      if (!use.consumer) problems_.Add(use.where, use.tensor, Text("id ", id, " has no consumer: it is on no axis but 0, so permuting it would change the function"));
    }
    return spec_;
  }

 private:
  void ReadTensor(const std::string& name, const Yaml& axes) {
    const torch::Tensor* tensor = models::FindTensor(state_, name);
    if (tensor == nullptr) {
      std::vector<std::string> names;
      for (const models::NamedTensor& item : state_) names.push_back(item.name);
      const std::string nearest = base::NearestName(name, names);
      problems_.Add(axes.where, name, "the network has no tensor of this name" + (nearest.empty() ? "" : "; did you mean " + nearest + "?"));
      return;
    }
    if (!axes.IsList()) return problems_.Add(axes.where, name, Text("found ", axes.Found(), "; allowed: a list with an id or null for each axis"));
    if (std::ssize(axes.items) != tensor->dim()) {
      return problems_.Add(axes.where, name, Text("the list has ", axes.items.size(), " entries, the tensor ", tensor->dim(), " axes, shape ", tensor->sizes()));
    }
    std::vector<std::string> ids;
    for (int64_t axis = 0; axis < tensor->dim(); ++axis) ids.push_back(ReadAxis(name, axes.items[axis], axis, tensor->size(axis)));
    for (size_t axis = 0; axis < ids.size(); ++axis) {
      if (ids[axis].empty() || std::find(ids.begin(), ids.begin() + static_cast<int64_t>(axis), ids[axis]) == ids.begin() + static_cast<int64_t>(axis)) continue;
      return problems_.Add(axes.where, name, Text("id ", ids[axis], " is on two axes; matching such a tensor would be a quadratic problem"));
    }
    spec_.Add(name, std::move(ids));
  }

  std::string ReadAxis(const std::string& name, const Yaml& entry, int64_t axis, int64_t size) {
    if (entry.IsNull()) return "";
    if (!entry.IsScalar() || entry.text.empty()) {
      problems_.Add(entry.where, name, Text("axis ", axis, ": found ", entry.Found(), "; allowed: an id, or null for an axis that stays"));
      return "";
    }
    const auto [known, is_new] = ids_.try_emplace(entry.text, IdUse{entry.where, name, axis, size});
    IdUse& use = known->second;
    (axis == 0 ? use.producer : use.consumer) = true;
    if (use.size != size) {
      problems_.Add(entry.where, name, Text("id ", entry.text, " has ", size, " units on axis ", axis, ", but ", use.size, " on axis ", use.axis, " of ", use.tensor));
    }
    return entry.text;
  }

  const models::StateDict& state_;
  Problems& problems_;
  models::PermutationSpec spec_;
  std::map<std::string, IdUse> ids_;
};

}  // namespace

models::PermutationSpec ReadSymmetry(const std::filesystem::path& file, const models::StateDict& state) {
  if (!std::filesystem::is_regular_file(file)) throw ConfigError(Text("--symmetry: ", file.string(), " is not a file"));
  Problems problems;
  const Yaml root = ParseYaml(base::ReadFile(file), file.string(), problems);
  problems.ThrowIfAny();
  models::PermutationSpec spec = Reader(state, problems).Read(root, file.string());
  problems.ThrowIfAny();
  return spec;
}

}  // namespace basin::trainer

// How the settings of a sweep are called: names that a person can read and a file system can hold.
#pragma once

#include <string>
#include <vector>

#include "trainer/config/yaml.h"

namespace basin::trainer {

/// "lr0.1" for train.optimizer.lr: 0.1; a section gives its name (its key, where it has none) and then its keys:
/// "wash-p0.01-every_steps5".
std::string NamePart(const std::string& key, const Yaml& value);

/// The parts with '-' between them; what does not belong into a folder's name becomes '_'. "base" when there are none. Longer than 100
/// characters: cut, and the hash of the whole appended.
std::string FolderName(const std::vector<std::string>& parts);

}  // namespace basin::trainer

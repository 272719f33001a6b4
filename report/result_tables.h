// The tables of one result.json, for terminals and pages.
#pragma once

#include "base/json.h"
#include "report/table.h"

namespace basin::report {

/// Accuracy and loss on test of the members, their mean, the ensemble, the averages and the soup.
Table ScoreTable(const base::Json& result);
/// Barriers B1, B2, B3 of every pair, split and treatment of batch norm: the entries of `lmc`.
Table BarrierTable(const base::Json& entries);
/// How statistics of networks on a line were treated, in words: "none" is "as it is".
std::string RenormText(const std::string& renorm);

}  // namespace basin::report

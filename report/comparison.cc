#include "report/comparison.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "report/progress.h"
#include "report/svg.h"

namespace basin::report {
namespace {

/// A setting as a point: mean bytes a rank, mean accuracy of the average.
struct Point {
  size_t setting = 0;
  Summary bytes, average;
};

std::vector<Point> Points(const std::vector<Setting>& settings) {
  std::vector<Point> points;
  for (size_t k = 0; k < settings.size(); ++k) {
    const Point point{k, Summarise(settings[k].runs, &RunFigures::payload_per_rank), Summarise(settings[k].runs, &RunFigures::average)};
    if (point.bytes.count > 0 && point.average.count > 0) points.push_back(point);
  }
  std::stable_sort(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.bytes.mean < b.bytes.mean; });
  return points;
}

std::vector<Point> Front(const std::vector<Point>& points) {
  std::vector<Purchase> purchases;
  for (const Point& point : points) purchases.push_back({.cost = point.bytes.mean, .value = point.average.mean});
  std::vector<Point> front;
  for (const size_t k : ParetoFront(purchases)) front.push_back(points[k]);
  return front;
}

std::string PercentText(const Summary& statistic) {
  std::string text = FormatPercent(statistic.mean, 2);
  if (statistic.count > 1) text += " \u00b1 " + FormatNumber(100 * statistic.sd, 2);
  return text;
}

std::string BytesText(double bytes) { return FormatBytes(std::llround(bytes)); }

/// Families in the order of their first settings; a setting without one is its own.
std::vector<std::string> Families(const std::vector<Setting>& settings) {
  std::vector<std::string> families;
  for (const Setting& setting : settings) {
    const std::string& family = setting.family.empty() ? setting.name : setting.family;
    if (std::find(families.begin(), families.end(), family) == families.end()) families.push_back(family);
  }
  return families;
}

int SeriesOf(const Setting& setting, const std::vector<std::string>& families) {
  const std::string& family = setting.family.empty() ? setting.name : setting.family;
  return static_cast<int>(std::find(families.begin(), families.end(), family) - families.begin());
}

/// Bytes on a logarithmic axis, where nothing sent has a place of its own left of the least that was sent.
struct BytesAxis {
  double zero_at = 0;  ///< 0: nobody sent nothing
  bool log = false;

  explicit BytesAxis(const std::vector<Point>& points) {
    double least = INFINITY, most = 0;
    bool some_zero = false;
    for (const Point& point : points) {
      most = std::max(most, point.bytes.mean);
      if (point.bytes.mean > 0) least = std::min(least, point.bytes.mean);
      some_zero = some_zero || point.bytes.mean <= 0;
    }
    log = std::isfinite(least) && (some_zero || most > 8 * least);
    if (log && some_zero) zero_at = least / 4;
  }
  double operator()(double bytes) const { return bytes > 0 || zero_at == 0 ? bytes : zero_at; }
};

Chart ParetoChart(const std::vector<Setting>& settings, const std::vector<Point>& points) {
  const std::vector<Point> front = Front(points);
  const BytesAxis place(points);
  Chart chart{.id = "pareto",
              .title = "What the average is worth, and what it cost",
              .note =
                  "Each dot is a setting: test accuracy of its averaged network against the bytes that a rank sent. The line is the front: "
                  "no setting has both fewer bytes and a better average. Whiskers: one standard deviation over the seeds.",
              .x = {.title = "bytes sent a rank", .unit = Unit::kBytes, .log = place.log, .zero_at = place.zero_at},
              .y = {.title = "accuracy of the average", .unit = Unit::kPercent},
              .wide = true};
  Curve line{.name = "front", .legend = "front", .role = Role::kMean, .style = Curve::Style::kSteps};
  for (const Point& point : front) {
    line.x.push_back(place(point.bytes.mean));
    line.y.push_back(point.average.mean);
  }
  chart.curves.push_back(line);
  const auto families = Families(settings);
  const bool few = points.size() <= 12;
  for (const Point& point : points) {
    const Setting& setting = settings[point.setting];
    const bool on_front = std::any_of(front.begin(), front.end(), [&](const Point& other) { return other.setting == point.setting; });
    const int series = SeriesOf(setting, families);
    Curve dot{.name = setting.name,
              .legend = families[static_cast<size_t>(series)],
              .role = Role::kSeries,
              .style = Curve::Style::kDots,
              .x = {place(point.bytes.mean)},
              .y = {point.average.mean},
              .series = series};
    if (point.average.count > 1) {
      dot.low = {point.average.mean - point.average.sd};
      dot.high = {point.average.mean + point.average.sd};
    }
    if (few || on_front) dot.labels = {setting.name};
    chart.curves.push_back(std::move(dot));
  }
  return chart;
}

/// Member, ensemble and average of every setting, a row each.
Chart AccuracyChart(const std::vector<Setting>& settings) {
  Chart chart{.id = "accuracies",
              .title = "Member, ensemble and average",
              .note =
                  "Test accuracy, mean over the seeds with one standard deviation. Where the blue dot reaches the orange one, one network "
                  "is worth the ensemble.",
              .x = {.unit = Unit::kPercent},
              .wide = true,
              .rows = static_cast<int>(settings.size())};
  for (const Setting& setting : settings) chart.y.names.push_back(setting.name);
  struct Row {
    const char* name;
    Role role;
    std::optional<double> RunFigures::*field;
  };
  for (const Row& row : {Row{"mean member", Role::kMember, &RunFigures::mean_member},
                         Row{"ensemble", Role::kEnsemble, &RunFigures::ensemble}, Row{"average", Role::kAverage, &RunFigures::average}}) {
    Curve curve{.name = row.name, .legend = row.name, .role = row.role, .style = Curve::Style::kDots, .whiskers_along_x = true};
    for (size_t k = 0; k < settings.size(); ++k) {
      const Summary statistic = Summarise(settings[k].runs, row.field);
      if (statistic.count == 0) continue;
      curve.x.push_back(statistic.mean);
      curve.y.push_back(static_cast<double>(k));
      curve.low.push_back(statistic.mean - statistic.sd);
      curve.high.push_back(statistic.mean + statistic.sd);
    }
    chart.curves.push_back(std::move(curve));
  }
  return chart;
}

std::vector<std::string> Verdicts(const std::vector<Setting>& settings, const std::vector<Point>& front) {
  if (front.empty()) return {"No setting has both an average and an account of bytes."};
  const Point& best = front.back();  // the front rises with the bytes
  const std::string price = best.bytes.mean > 0 ? " for " + BytesText(best.bytes.mean) + " a rank." : " without sending anything.";
  std::vector<std::string> verdicts{settings[best.setting].name + " has the best average: " + PercentText(best.average) + price};
  if (front.size() == 1) return verdicts;
  std::string less = "For less: ";
  for (size_t k = front.size() - 1; k-- > 0;) {
    less += settings[front[k].setting].name + " " + PercentText(front[k].average) + " for " + BytesText(front[k].bytes.mean) +
            (k > 0 ? ", " : ".");
  }
  verdicts.push_back(less);
  return verdicts;
}

void AddVerdict(Page& page, const ComparedRuns& compared, const std::vector<Point>& points) {
  page.Html("<header>\n<h1>" + Escaped(compared.title) + "</h1>\n");
  size_t runs = 0;
  for (const Setting& setting : compared.settings) runs += setting.runs.size();
  const std::string counts =
      Text(compared.settings.size(), compared.settings.size() == 1 ? " setting, " : " settings, ", runs, runs == 1 ? " run" : " runs");
  page.Paragraph("where", compared.introduction.empty() ? counts : compared.introduction);
  const std::vector<std::string> verdicts = compared.verdicts.empty() ? Verdicts(compared.settings, Front(points)) : compared.verdicts;
  page.Paragraph("verdict", verdicts.front());
  for (size_t k = 1; k < verdicts.size(); ++k) page.Paragraph("lead", verdicts[k]);
  page.Html("</header>\n");
}

}  // namespace

Table SettingsTable(const std::vector<Setting>& settings, const std::string& plus_minus) {
  const bool groups = std::any_of(settings.begin(), settings.end(), [](const Setting& setting) { return setting.runs.size() > 1; });
  std::vector<std::string> headers{"run"};
  if (groups) headers.push_back("seeds");
  for (const FigureColumn& column : FigureColumns()) headers.push_back(column.header);
  Table table(headers);
  for (const Setting& setting : settings) {
    std::vector<std::string> cells{setting.name};
    if (groups) cells.push_back(std::to_string(setting.runs.size()));
    for (const FigureColumn& column : FigureColumns()) cells.push_back(Cell(Summarise(setting.runs, column.field), column, plus_minus));
    table.AddRow(cells);
  }
  return table;
}

std::vector<size_t> ParetoFront(const std::vector<Setting>& settings) {
  std::vector<size_t> front;
  for (const Point& point : Front(Points(settings))) front.push_back(point.setting);
  return front;
}

std::string ComparisonPage(const ComparedRuns& compared) {
  Page page(compared.title);
  const std::vector<Point> points = Points(compared.settings);
  AddVerdict(page, compared, points);
  page.Add(std::vector<Chart>{ParetoChart(compared.settings, points), AccuracyChart(compared.settings)});
  page.Section(
      "All figures",
      "The barrier is B2 of the worst pair on test, batch-norm statistics recomputed. Bytes are what the strategy sent in its exchanges.");
  page.Add(PageTable{.table = SettingsTable(compared.settings, " \u00b1 ")});
  for (const PageTable& table : compared.tables) page.Add(table);
  return page.Document();
}

}  // namespace basin::report

// Quantities as people write them: a number and its unit.
#pragma once

#include <string>
#include <string_view>

namespace basin::base {

/// "5ms", "50 us", "1.5s" in seconds; units ns, us, ms, s, min, h. ConfigError that says what was found and what is allowed: no
/// number, no or another unit, negative, not finite.
double ParseDuration(std::string_view text);
/// "100Mbps", "10MB/s" in bytes a second, above 0; units bps, kbps, Mbps, Gbps, Tbps (bits), B/s, kB/s, MB/s, GB/s, TB/s. Decimal
/// prefixes, as networks are sold. ConfigError as above.
double ParseRate(std::string_view text);
/// "50MB", "2 KiB" in bytes; units B, kB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (of 1024). ConfigError as above.
double ParseBytes(std::string_view text);

/// The shortest text that Parse... reads back as the same double.
std::string DurationText(double seconds);
std::string RateText(double bytes_per_second);
std::string BytesText(double bytes);

}  // namespace basin::base

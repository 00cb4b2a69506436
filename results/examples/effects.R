# Rscript effects.R STUDY.nc [QUANTIZER]: the paired effect of each setting on log KL against the base, with its 95 %
# t-interval: mean over sizes, seeds within sizes pooled (METHOD §6); and the verdicts from the group /analysis.
library(ncdf4)
arguments <- commandArgs(TRUE)
quantizer <- if (length(arguments) > 1) arguments[2] else "w8a8"
invisible(capture.output(nc <- nc_open(arguments[1]))) # it warns of 64-bit integers
get <- function(name) ncvar_get(nc, name)
log_kl <- get("log_kl") # R has the dimensions the other way round: quantizer, checkpoint, cell
cells <- data.frame(size = get("size"), seed = get("seed"), setting = get("setting"), base = get("base") == 1,
                    y = log_kl[get("quantizer") == quantizer, dim(log_kl)[2], ])
cells$y[get("status") != 2] <- NA # flag_meanings: 2 is "done"
pairs <- merge(cells[!cells$base, ], cells[cells$base, ], by = c("size", "seed"))
pairs$d <- pairs$y.x - pairs$y.y
for (effect in split(pairs[!is.na(pairs$d), ], ~setting.x)) {
  d <- split(effect$d, effect$size)
  df <- sum(lengths(d) - 1)
  s2 <- sum(sapply(d, function(x) sum((x - mean(x))^2))) / df
  half <- qt(0.975, df) * sqrt(s2 * sum(1 / lengths(d))) / length(d)
  cat(sprintf("%-60s %+.6f [%+.6f, %+.6f] df %d\n", effect$setting.x[1], mean(sapply(d, mean)),
              mean(sapply(d, mean)) - half, mean(sapply(d, mean)) + half, df))
}
meaning <- strsplit(ncatt_get(nc, "analysis/verdict", "flag_meanings")$value, " ")[[1]]
cat(sprintf("H%s %s: %+.3f\n", get("analysis/hypothesis"), meaning[get("analysis/verdict") + 1], get("analysis/effect")), sep = "")

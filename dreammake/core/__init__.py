"""Words that every layer shares: places, errors, options, contracts. Pure: no files, no clocks, no processes."""

"""What every room uses: bad input in one line, files that appear whole, progress, array types."""

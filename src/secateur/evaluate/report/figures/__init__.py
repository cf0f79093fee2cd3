"""The pictures of a report, one file each; ``render`` turns them into PNG, SVG and theme-aware inline SVG."""

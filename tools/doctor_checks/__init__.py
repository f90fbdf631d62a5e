"""What `unvizard doctor` looks at: one file for each area of the machine."""

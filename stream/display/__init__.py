"""What people see: the overlay stage and the live page it serves."""

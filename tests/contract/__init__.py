"""What must be true of every template folder, whatever warehouse it is for."""

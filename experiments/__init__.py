"""What can be launched; files, terminals and plots live here."""

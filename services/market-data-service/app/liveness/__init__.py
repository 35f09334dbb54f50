"""When to try again, and when to believe that something is alive: pure, time is an argument."""

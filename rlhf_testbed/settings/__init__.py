"""What a run is: its settings, how they are read and checked, what a name stands for. No torch."""

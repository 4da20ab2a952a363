"""What ships with the program: the embedded model's weights, the store's steps, the demo's story."""

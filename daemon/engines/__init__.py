"""The engines that execute models, one adapter a file. Only workers import them."""

"""The models that can be trained: section `model` of an input, and how each one starts."""

"""A scan brought to the voxel size of a model, and its labels back."""

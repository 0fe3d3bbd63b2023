"""From a pack of labelled photos to ONNX files and their figures in one go: what scripts/train.sh runs.

Needs nothing beside Python's own library, so that nonsense is refused before PyTorch is set up."""

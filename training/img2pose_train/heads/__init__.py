"""Rendered heads with exact poses, from MakeHuman's CC0 data (meshes, shapes, skins, hair, clothes), which the user fetches."""

//! GStreamer plugin that finds faces in video and says how each head is turned.

/* Prints the faces that img2posedetect puts on the frames of a pipeline.
 *
 *     cc read_faces.c -o read_faces $(pkg-config --cflags --libs gstreamer-video-1.0)
 *     ./read_faces 'filesrc location=in.mp4 ! decodebin ! videoconvert ! img2posedetect'
 *
 * Needs GStreamer 1.20 or later, and nothing of this project but the plugin.
 */

#include <gst/gst.h>
#include <gst/video/video.h>
#include <stdlib.h>

#define LAYOUT_VERSION 1

/* A field of a face; a face without it was written by something else. */
static gdouble
number (const GstStructure *structure, const gchar *name)
{
  gdouble value;

  if (!gst_structure_get_double (structure, name, &value)) {
    g_printerr ("%s has no number '%s'\n", gst_structure_get_name (structure), name);
    exit (EXIT_FAILURE);
  }
  return value;
}

/* Where the region of a face is now; NULL if an element has dropped it. */
static GstVideoRegionOfInterestMeta *
find_region (GstBuffer *buffer, gint face)
{
  gpointer state = NULL;
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta_filtered (buffer, &state,
                  GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
    GstVideoRegionOfInterestMeta *region = (GstVideoRegionOfInterestMeta *) meta;

    if (region->id == face && region->parent_id == -1
        && region->roi_type == g_quark_from_static_string ("face"))
      return region;
  }
  return NULL;
}

static void
print_face (GstBuffer *buffer, gint i, const GstStructure *face, gint width, gint height)
{
  GstVideoRegionOfInterestMeta *region = find_region (buffer, i);
  guint64 track;

  g_print ("  face %d: confidence %.3f, box %.1f %.1f %.1f %.1f", i,
      number (face, "confidence"), number (face, "x_min") * width,
      number (face, "y_min") * height, number (face, "x_max") * width,
      number (face, "y_max") * height);
  /* Only there if img2posetrack follows the face. */
  if (gst_structure_get_uint64 (face, "track-id", &track))
    g_print (", track %" G_GUINT64_FORMAT " %s", track,
        gst_structure_get_string (face, "track-state"));
  g_print ("\n");
  g_print ("    rotation %.3f %.3f %.3f, translation %.3f %.3f %.3f\n",
      number (face, "rx"), number (face, "ry"), number (face, "rz"),
      number (face, "tx"), number (face, "ty"), number (face, "tz"));
  g_print ("    yaw, pitch, roll %.1f %.1f %.1f, nose %.1f %.1f\n",
      number (face, "yaw"), number (face, "pitch"), number (face, "roll"),
      number (face, "nose-x"), number (face, "nose-y"));

  if (!region) {
    g_print ("    no region\n");
    return;
  }
  g_print ("    region %u %u %u %u", region->x, region->y, region->w, region->h);
  GstStructure *pose = gst_video_region_of_interest_meta_get_param (region, "face-pose");
  if (pose)
    g_print (", yaw %.1f\n", number (pose, "yaw"));
  else
    g_print (", no parameters\n");
}

static void
print_frame (guint index, GstBuffer *buffer)
{
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, "Img2PoseFacesMeta");
  guint version, n_faces;
  gint width, height;
  gboolean reused = FALSE;

  if (!meta) {
    g_print ("frame %u: not looked at\n", index);
    return;
  }
  const GstStructure *record = gst_custom_meta_get_structure (meta);
  if (!gst_structure_get_uint (record, "version", &version) || version != LAYOUT_VERSION
      || !gst_structure_get_uint (record, "n-faces", &n_faces)
      || !gst_structure_get_int (record, "frame-width", &width)
      || !gst_structure_get_int (record, "frame-height", &height)) {
    g_printerr ("the faces are not of layout version %d\n", LAYOUT_VERSION);
    exit (EXIT_FAILURE);
  }

  /* Only there on frames that nobody looked at: their faces are those of an earlier one (reuse-faces, img2posetrack). */
  gst_structure_get_boolean (record, "reused", &reused);
  g_print ("frame %u: %u faces in %dx%d%s\n", index, n_faces, width, height, reused ? ", reused" : "");
  for (guint i = 0; i < n_faces; i++) {
    gchar name[32];

    g_snprintf (name, sizeof name, "face-%u", i);
    const GValue *face = gst_structure_get_value (record, name);
    if (!face || !GST_VALUE_HOLDS_STRUCTURE (face)) {
      g_printerr ("the record has no structure '%s'\n", name);
      exit (EXIT_FAILURE);
    }
    print_face (buffer, (gint) i, gst_value_get_structure (face), width, height);
  }
}

static GstPadProbeReturn
on_buffer (GstPad *pad, GstPadProbeInfo *info, gpointer frames)
{
  (void) pad;
  print_frame ((*(guint *) frames)++, GST_PAD_PROBE_INFO_BUFFER (info));
  return GST_PAD_PROBE_OK;
}

int
main (int argc, char **argv)
{
  GError *error = NULL;
  guint frames = 0;
  int status = EXIT_SUCCESS;

  gst_init (&argc, &argv);
  if (argc != 2) {
    g_printerr ("usage: %s 'PIPELINE'\n", argv[0]);
    return EXIT_FAILURE;
  }
  gchar *description = g_strdup_printf ("%s ! fakesink name=end", argv[1]);
  GstElement *pipeline = gst_parse_launch (description, &error);
  g_free (description);
  if (error) {
    g_printerr ("%s: %s\n", argv[0], error->message);
    g_clear_error (&error);
    gst_clear_object (&pipeline);
    return EXIT_FAILURE;
  }

  GstElement *end = gst_bin_get_by_name (GST_BIN (pipeline), "end");
  GstPad *pad = gst_element_get_static_pad (end, "sink");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_buffer, &frames, NULL);
  gst_object_unref (pad);
  gst_object_unref (end);

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  GstBus *bus = gst_element_get_bus (pipeline);
  GstMessage *message = gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE,
      GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
    gchar *debug = NULL;

    gst_message_parse_error (message, &error, &debug);
    g_printerr ("%s: %s: %s\n%s\n", argv[0], GST_MESSAGE_SRC_NAME (message), error->message,
        debug ? debug : "");
    g_clear_error (&error);
    g_free (debug);
    status = EXIT_FAILURE;
  }
  gst_message_unref (message);
  gst_object_unref (bus);
  gst_object_unref (pipeline);
  return status;
}

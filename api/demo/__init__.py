"""The demo: the main job on real text that every installation has, driven from the outside over HTTP."""

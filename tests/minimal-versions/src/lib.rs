//! Nothing of its own: that this builds is what is tested.

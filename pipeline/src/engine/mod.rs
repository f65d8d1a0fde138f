//! Sessions on the engine, with functions and stores registered in one place.

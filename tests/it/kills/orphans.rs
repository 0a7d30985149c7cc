//! No process outlives the agent, whatever it did to get away.

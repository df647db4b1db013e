"""Who is told of alerts: each kind of receiver in a module of its own, all of one shape (`receiver.Receiver`)."""

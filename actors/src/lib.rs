//! The supervised actors of NEXO ROUTE and the saga of one OTP.

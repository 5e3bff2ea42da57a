//! Matches requests with replies on one connection and says what each query was and when it ended.

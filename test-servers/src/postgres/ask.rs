//! What it is asked with `psql`, by its Unix socket.

use std::process::Command;
use std::sync::atomic::Ordering;

use super::Postgres;
use crate::Result;
use crate::process::{LIMIT, wait_until};
use crate::system::{output, tool};

impl Postgres {
    /// Creates an empty database of a new name; answers its URL.
    ///
    /// # Errors
    /// If the server cannot.
    pub fn create_database(&self) -> Result<String> {
        let name = format!("test_{}", self.names.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
    }

    /// Runs statements in the database `postgres`; see [`execute_in`](Self::execute_in).
    ///
    /// # Errors
    /// If a statement fails, or they take longer than a minute.
    pub fn execute(&self, sql: &str) -> Result<String> {
        self.execute_in("postgres", sql)
    }

    /// Runs statements, each in a transaction of its own. Answers the rows as `psql` prints them: a line
    /// each, fields separated by `|`. They get to the server by its Unix socket, whatever is wrong with the
    /// network.
    ///
    /// # Errors
    /// If a statement fails, or they take longer than a minute.
    pub fn execute_in(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = self.tool("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database]);
        output("psql", &mut psql, Some(sql))
    }

    /// Changes a setting while the server runs (`ALTER SYSTEM`, reload). When this returns new sessions have
    /// it, and commits wait for other standbys if it was `synchronous_standby_names`.
    ///
    /// # Errors
    /// If there is no such setting or value.
    pub fn set(&self, setting: &str, value: &str) -> Result<()> {
        let value = value.replace('\'', "''");
        let before = self.execute("SELECT pg_conf_load_time()")?;
        self.execute(&format!("ALTER SYSTEM SET {setting} TO '{value}'; SELECT pg_reload_conf()"))?;
        let loaded = format!("SELECT pg_conf_load_time() > '{before}'");
        wait_until("reloading the configuration", || Ok(self.execute(&loaded)? == "t"))?;
        if setting == "synchronous_standby_names" {
            // It is the checkpointer that puts this in force, before it does anything else.
            self.execute("CHECKPOINT")?;
        }
        Ok(())
    }

    /// A client program that talks to the server by its Unix socket.
    pub(super) fn tool(&self, program: &str) -> Command {
        let mut tool = tool(self.programs.join(program), self.folder.account(), LIMIT);
        tool.env("PGCONNECT_TIMEOUT", "30").env("PGHOST", self.folder.path());
        tool.env("PGPORT", self.port.to_string()).env("PGUSER", "postgres");
        tool
    }
}

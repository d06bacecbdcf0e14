<?xml version="1.0" encoding="UTF-8"?>
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:oai="http://www.openarchives.org/OAI/2.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
    exclude-result-prefixes="oai dc">
  <xsl:output method="html" encoding="UTF-8"/>
  <xsl:template match="/oai:OAI-PMH">
    <html>
      <head><title>OAI 2.0 Request Results</title></head>
      <body>
        <h1>OAI 2.0 Request Results</h1>
        <table>
          <tr><td>Verb</td><td><xsl:value-of select="oai:request/@verb"/></td></tr>
          <tr><td>URL</td><td><xsl:value-of select="oai:request"/></td></tr>
        </table>
        <xsl:apply-templates select="oai:ListRecords/oai:record"/>
        <xsl:apply-templates select="oai:ListRecords/oai:resumptionToken"/>
      </body>
    </html>
  </xsl:template>
  <xsl:template match="oai:record">
    <h2><xsl:number/>. <xsl:value-of select="oai:header/oai:identifier"/></h2>
    <xsl:choose>
      <xsl:when test="oai:header/@status = 'deleted'"><p>This record has been deleted.</p></xsl:when>
      <xsl:otherwise>
        <p><b><xsl:value-of select=".//dc:title"/></b>
          <xsl:for-each select=".//dc:creator"><xsl:text>; </xsl:text><xsl:value-of select="."/></xsl:for-each>
        </p>
      </xsl:otherwise>
    </xsl:choose>
  </xsl:template>
  <xsl:template match="oai:resumptionToken">
    <p>More of <xsl:value-of select="format-number(@completeListSize, '#,##0')"/>:
      <a href="?verb=ListRecords&amp;resumptionToken={.}">next</a></p>
  </xsl:template>
</xsl:stylesheet>
